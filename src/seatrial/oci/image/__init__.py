"""Images: what the image specification says of them, checked."""
