"""Arrays of all samples, a file or a part of one for each modality."""
