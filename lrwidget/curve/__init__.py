"""The results of range tests: numpy only, no torch, no Jupyter."""
