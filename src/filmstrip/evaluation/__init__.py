"""Predictions and truth to figures: arrays in, numbers and pictures out."""
