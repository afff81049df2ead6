"""Modelyard takes a table or a folder of images from raw data to a monitored prediction service."""
