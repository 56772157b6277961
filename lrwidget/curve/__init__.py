"""What a range test found: numpy only, no torch, no Jupyter."""
