"""Frames to logits: backbones, recurrent heads, and the classifier that joins them."""
