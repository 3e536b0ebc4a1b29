"""What goes into a lab that has a kernel of its own (user-mode Linux), and the way in.

The root file system is the lab host's, seen through hostfs, so that both sides share a directory; commands, their
streams and signals travel as files in there. init.sh sets the system up and becomes agent.pl, which starts what
client.py asks for.
"""
