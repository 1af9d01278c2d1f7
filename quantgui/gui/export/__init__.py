"""The open model in another program's file format."""
