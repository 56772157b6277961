"""The record of a test in a file: its format, writer and reader."""
