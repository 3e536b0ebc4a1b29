#!/usr/bin/perl
# Starts what the other side asks for, in a directory that both see: agent.pl DIRECTORY
#
# A request is a directory q*, with argv and env (words that end in NUL), cwd, and `stream` where there is standard
# input. Answers are out and err (appended to and closed each time: hostfs writes back on close), exit (a code, or a
# signal as -N), closed (nobody holds the output any more). The other side writes in.0, in.1, ..., their number into
# in.eof, and that of a signal into `signal`, each whole: hostfs does not read a file right that grows meanwhile.
use strict; use warnings;
use POSIX qw(:sys_wait_h setsid _exit);
use Fcntl;

my $wire = shift;
my (%jobs, %seen);
$SIG{PIPE} = 'IGNORE';

sub slurp { my ($path) = @_; open(my $file, '<', $path) or return; local $/; my $text = <$file>; return $text; }
sub put {
    my ($path, $text) = @_;
    open(my $file, '>', "$path.part") or return; syswrite($file, $text); close($file); rename("$path.part", $path);
}
sub append { my ($path, $bytes) = @_; open(my $file, '>>', $path) or return; syswrite($file, $bytes); close($file); }
sub unblocked { my ($handle) = @_; fcntl($handle, F_SETFL, fcntl($handle, F_GETFL, 0) | O_NONBLOCK); return $handle; }

sub begin {
    my ($place) = @_;
    my @argv = split(/\0/, slurp("$place/argv") // '', -1); pop @argv;
    my %env = map { split(/=/, $_, 2) } grep { /=/ } split(/\0/, slurp("$place/env") // '');
    my $cwd = slurp("$place/cwd") || '/';
    my $stream = -e "$place/stream";
    pipe(my $in_read, my $in_write); pipe(my $out_read, my $out_write); pipe(my $err_read, my $err_write);
    my $pid = fork() // return;
    if (!$pid) {
        setsid();
        if ($stream) { open(STDIN, '<&', $in_read) } else { open(STDIN, '<', '/dev/null') }
        open(STDOUT, '>&', $out_write); open(STDERR, '>&', $err_write);
        $SIG{PIPE} = 'DEFAULT';
        POSIX::close($_) for 3 .. 255;
        %ENV = %env;
        chdir($cwd) or do { print STDERR "cannot change to $cwd: $!\n"; _exit(126); };
        { no warnings 'exec'; exec { $argv[0] } @argv; }
        print STDERR "cannot execute $argv[0]: $!\n";
        _exit(127);
    }
    close($in_read); close($out_write); close($err_write);
    $jobs{$place} = {
        pid => $pid, in => $stream ? unblocked($in_write) : undef, at => 0, rest => '',
        out => unblocked($out_read), err => unblocked($err_read),
    };
    close($in_write) if !$stream;
}

sub feed {
    my ($place, $job) = @_;
    return if !$job->{in};
    my $count = slurp("$place/in.eof");
    while (length($job->{rest}) < 65536 && defined(my $bytes = slurp("$place/in.$job->{at}"))) {
        unlink("$place/in.$job->{at}");
        $job->{at}++; $job->{rest} .= $bytes;
    }
    my $eof = defined($count) && $job->{at} >= $count;
    if (length $job->{rest}) {
        my $done = syswrite($job->{in}, $job->{rest});
        if ($done) { substr($job->{rest}, 0, $done) = '' }
        elsif ($!{EPIPE}) { $job->{rest} = ''; $eof = 1; }
    }
    if ($eof && !length $job->{rest}) { close($job->{in}); $job->{in} = undef; }
}

sub drain {
    my ($place, $job) = @_;
    for my $name ('out', 'err') {
        next if !$job->{$name};
        my $all = '';
        while (1) {
            my $got = sysread($job->{$name}, my $bytes, 65536);
            if ($got) { $all .= $bytes; last if length $all > 1048576; next; }
            if (defined $got) { close($job->{$name}); $job->{$name} = undef; }
            last;
        }
        append("$place/$name", $all) if length $all;
    }
}

put("$wire/ready", "$$\n");
while (1) {
    if (opendir(my $directory, $wire)) {
        for my $name (grep { /^q/ && !$seen{$_} } readdir($directory)) { $seen{$name} = 1; begin("$wire/$name"); }
        closedir($directory);
    }
    my $bits = '';
    for my $job (values %jobs) { for ($job->{out}, $job->{err}) { vec($bits, fileno($_), 1) = 1 if $_; } }
    select($bits, undef, undef, %jobs ? 0.005 : 0.02);
    my %ended;
    while ((my $pid = waitpid(-1, WNOHANG)) > 0) { $ended{$pid} = $?; }
    for my $place (keys %jobs) {
        my $job = $jobs{$place};
        if (-e "$place/signal") {
            my $number = slurp("$place/signal"); unlink("$place/signal");
            kill(int($number), -$job->{pid}) if !$job->{exited};
        }
        feed($place, $job);
        drain($place, $job);
        if (exists $ended{$job->{pid}}) {
            my $status = $ended{$job->{pid}};
            $job->{exited} = 1;
            put("$place/exit", ($status & 127) ? -($status & 127) : $status >> 8);
        }
        if ($job->{exited} && !$job->{out} && !$job->{err}) {
            close($job->{in}) if $job->{in};
            put("$place/closed", '');
            delete $jobs{$place};
        }
    }
}
