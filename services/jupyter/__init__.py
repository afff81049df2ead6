"""JupyterLab, for exploring."""
