#!/usr/bin/perl
# Connects its standard streams with a unix socket: relay.pl SOCKET
use strict; use warnings;
use Socket;
use IO::Select;

socket(my $server, PF_UNIX, SOCK_STREAM, 0) or exit 1;
connect($server, sockaddr_un($ARGV[0])) or exit 1;
my $select = IO::Select->new(\*STDIN, $server);
sub all { my ($to, $bytes) = @_; while (length $bytes) { my $n = syswrite($to, $bytes) // exit 0; substr($bytes, 0, $n) = ''; } }
while (1) {
    for my $from ($select->can_read) {
        my $got = sysread($from, my $bytes, 65536);
        if ($from == $server) { exit 0 if !$got; all(\*STDOUT, $bytes); }
        elsif ($got) { all($server, $bytes); }
        else { $select->remove($from); shutdown($server, 1); }
    }
}
