"""What is observed: by the kernel's files from outside, and by a shell inside a container."""
