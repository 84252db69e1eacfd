"""Files decoded or fetched once: each is there completely or not at all."""
