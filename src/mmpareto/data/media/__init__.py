"""From image, sound, video and array files to arrays."""
