#!/usr/bin/perl
# The probe: it says what a process sees, and tries what it is asked to.
#   probe NONCE [stay]
# An answer is one line, NONCE and a JSON value, on standard output; the first one is the report. Then it
# reads requests from standard input, one a line: words separated by tabs, bytes as %XX. It ends with its
# input, or with `stay` never. It has no modules but `strict`, so that it runs where little is.
use strict;

$| = 1;
my ($nonce, $mode) = (@ARGV, '', '');
my @signals;
for my $name (qw(HUP INT QUIT USR1 USR2 ALRM TERM CONT TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR)) {
    $SIG{$name} = sub { push @signals, $name };
}

# everything is a string, so that no number loses its form; undef is null
sub json {
    my ($value) = @_;
    return 'null' unless defined $value;
    return '[' . join(',', map { json($_) } @$value) . ']' if ref $value eq 'ARRAY';
    return '{' . join(',', map { json($_) . ':' . json($value->{$_}) } sort keys %$value) . '}' if ref $value;
    $value =~ s/([^ !#-\[\]-~])/sprintf '\\u%04x', ord $1/ge;
    return "\"$value\"";
}

sub answer {
    my $line = "$nonce " . json($_[0]) . "\n";
    while (length $line) {
        my $done = syswrite STDOUT, $line;
        next if !defined $done && $! == 4;
        exit 1 unless $done;
        substr($line, 0, $done) = '';
    }
}

sub content {
    my ($path) = @_;
    open my $file, '<', $path or return undef;
    local $/;
    my $text = <$file>;
    return $text;
}

sub entries {
    my ($path) = @_;
    opendir my $handle, $path or return undef;
    return [sort grep { !/^\.\.?$/ } readdir $handle];
}

# mode, uid, gid, device number, size, link target
sub look {
    my ($path) = @_;
    my @seen = lstat $path or return undef;
    return [@seen[2, 4, 5, 6, 7], -l _ ? readlink $path : undef];
}

sub devices {
    my %seen;
    for my $directory ('/dev', '/dev/pts', '/dev/net') {
        for my $name (@{entries($directory) || []}) { $seen{"$directory/$name"} = look("$directory/$name") }
    }
    return \%seen;
}

sub winsize {
    my $size = "\0" x 8;
    return ioctl(STDIN, 0x5413, $size) ? [unpack 'S4', $size] : undef;
}

# getrlimit, prctl and sched_getaffinity, by the machine that this program is for (e_machine of its ELF header)
my %numbers = (62 => [97, 157, 204], 183 => [163, 167, 123]);

# What the kernel answers about this process, which not every kernel writes into a file as well.
sub asked {
    open my $self, '<', '/proc/self/exe' or return {};
    read $self, my $header, 20;
    my ($getrlimit, $prctl, $affinity) = @{$numbers{unpack 'x18 S', $header} || return {}};
    my %limits;
    for my $resource (0 .. 15) {
        my $pair = "\0" x 16;
        $limits{$resource} = [unpack 'Q2', $pair] if syscall($getrlimit, $resource, $pair) == 0;
    }
    my $mask = "\0" x 1024;
    my $known = syscall $affinity, 0, length $mask, $mask;
    my $privileges = syscall $prctl, 39, 0, 0, 0, 0;
    return {
        limits => \%limits,
        no_new_privs => $privileges == -1 ? undef : $privileges,
        affinity => $known == -1 ? undef : [grep { vec $mask, $_, 1 } 0 .. 8 * $known - 1],
    };
}

sub report {
    my %seen = (asked => asked(), uid => $<, euid => $>, gid => $(, egid => $), umask => umask, pid => $$);
    my @files = map { "/proc/self/$_" }
        qw(status limits mountinfo environ cmdline cgroup oom_score_adj uid_map gid_map setgroups personality
        timens_offsets attr/current comm sched io net/dev);
    my @system = qw(/proc/sys/kernel/hostname /proc/sys/kernel/domainname /proc/uptime /proc/1/comm
        /proc/sys/kernel/random/boot_id);
    $seen{files} = {map { $_ => content($_) } @files, @system};
    $seen{links} = {map { $_ => scalar readlink "/proc/self/$_" } qw(cwd exe root)};
    $seen{fds} = {map { $_ => scalar readlink "/proc/self/fd/$_" } @{entries('/proc/self/fd') || []}};
    $seen{ns} = {map { $_ => scalar readlink "/proc/self/ns/$_" } @{entries('/proc/self/ns') || []}};
    $seen{tty} = [-t STDIN ? 1 : 0, -t STDOUT ? 1 : 0, -t STDERR ? 1 : 0];
    $seen{winsize} = winsize();
    $seen{devices} = devices();
    $seen{root} = entries('/');
    return \%seen;
}

# 0, or the number of the error
sub outcome { return $_[0] ? 0 : $! + 0 }

sub in_child {
    my ($work) = @_;
    pipe my $in, my $out or return {error => $! + 0};
    my $pid = fork;
    return {error => $! + 0} unless defined $pid;
    if (!$pid) {
        $SIG{$_} = 'DEFAULT' for keys %SIG;
        close $in;
        open STDOUT, '>&', $out;
        open STDERR, '>&', $out;
        $work->();
        exit 0;
    }
    close $out;
    local $/;
    my $said = <$in>;
    waitpid $pid, 0;
    return {status => $?, out => $said};
}

# a number, or text with a leading "="
sub words { return map { /^=(.*)/s ? "$1" : $_ + 0 } @_ }

sub call {
    my $value = syscall $_[0] + 0, words(@_[1 .. $#_]);
    return {value => $value, error => $value == -1 ? $! + 0 : 0};
}

# What becomes of a system call with these words in a child of its own: [error], [0, value], ["signal", N] where
# that ended it, ["ended"] where it did not come back, ["hung"] after five seconds.
sub fate {
    my ($number, @words) = @_;
    pipe my $in, my $out or return ['pipe', $! + 0];
    my $pid = fork;
    return ['fork', $! + 0] unless defined $pid;
    if (!$pid) {
        $SIG{$_} = 'DEFAULT' for keys %SIG;
        my $value = syscall $number, @words;
        syswrite $out, $value == -1 ? $! + 0 : "0 $value";
        kill 'KILL', $$;
    }
    close $out;
    vec(my $ready = '', fileno $in, 1) = 1;
    my $came = select $ready, undef, undef, 5;
    my $said = '';
    sysread $in, $said, 64 if $came;
    kill 'KILL', $pid;
    waitpid $pid, 0;
    return [split / /, $said] if length $said;
    return ['hung'] unless $came;
    return $? & 127 ? ['signal', $? & 127] : ['ended'];
}

# Tries to open every file below for writing, and writes nothing; processes and links are left out.
sub openable {
    my ($path, $seen) = @_;
    return if $path =~ m{^/proc/(?:\d+|self|thread-self)$} || -l $path;
    if (-d _) {
        openable("$path/$_", $seen) for @{entries($path) || []};
    } elsif (-f _) {
        $seen->{tried}++;
        if (sysopen my $file, $path, 0x801) { push @{$seen->{opened}}, $path } else { $seen->{errors}{$! + 0}++ }
    }
}

my %acts = (
    report  => \&report,
    read    => sub { my $text = content($_[0]); return {error => defined $text ? 0 : $! + 0, text => $text} },
    list    => sub { return entries($_[0]) },
    stat    => sub { return look($_[0]) },
    open    => sub { my $done = sysopen my $file, $_[0], $_[1]; return outcome($done) },
    write   => sub {
        my ($path, $text, $flags) = @_;
        sysopen my $file, $path, $flags or return $! + 0;
        return outcome(syswrite $file, $text);
    },
    mkdir   => sub { return outcome(mkdir $_[0]) },
    unlink  => sub { return outcome(unlink $_[0]) },
    chmod   => sub { return outcome(chmod $_[0], $_[1]) },
    chown   => sub { return outcome(chown $_[0], $_[1], $_[2]) },
    mknod   => sub { return outcome(syscall($_[0], $_[1], $_[2] + 0, $_[3] + 0) == 0) },
    signals => sub { return [@signals] },
    devices => \&devices,
    winsize => \&winsize,
    syscall => \&call,
    fate    => sub { my ($number, @given) = @_; return fate($number + 0, words(@given)) },
    # every call of a range with arguments that none can use, but for those that are named
    calls   => sub {
        my ($first, $last, @not) = @_;
        my %not = map { $_ => 1 } @not;
        return {map { $_ => fate($_ + 0, (-1) x 6) } grep { !$not{$_} } $first .. $last};
    },
    # calls one after another in one child, parted by ";": the error of each; $N is what the Nth (from 0) returned
    chain   => sub {
        my @calls = ([]);
        for my $word (@_) { if ($word eq ';') { push @calls, [] } else { push @{$calls[-1]}, $word } }
        my $done = in_child(sub {
            my (@done, @errors);
            for my $call (@calls) {
                my $made = call(map { /^\$(\d+)$/ ? $done[$1] : $_ } @$call);
                push @done, $made->{value};
                push @errors, $made->{error};
            }
            print join ' ', @errors;
        });
        return $done->{error} ? $done : {status => $done->{status}, errors => [split ' ', $done->{out}]};
    },
    openable => sub {
        my %seen = (tried => 0, opened => [], errors => {});
        openable($_, \%seen) for @_;
        return \%seen;
    },
    exec    => sub {
        my @words = @_;
        return in_child(sub { exec {$words[0]} @words or print STDERR 'errno=' . ($! + 0) });
    },
    # how many children can be had at once, and the error of the first that cannot
    fork    => sub {
        my ($most) = @_;
        my (@children, $error);
        while (@children < $most) {
            my $pid = fork;
            if (!defined $pid) { $error = $! + 0; last }
            if (!$pid) { $SIG{TERM} = 'DEFAULT'; sleep 60 while 1 }
            push @children, $pid;
        }
        kill 'KILL', @children;
        waitpid $_, 0 for @children;
        return {children => scalar @children, error => $error || 0};
    },
    # touches so many bytes in a child; the wait status tells whether it was let
    take    => sub { my ($size) = @_; return in_child(sub { my $all = 'x' x $size; print length $all }) },
    # processor seconds that one child gets in so many seconds, and how many those really were
    spin    => sub {
        my ($seconds) = @_;
        return in_child(sub {
            my $i = 0;
            my $clock = sub { my ($up) = split ' ', content('/proc/uptime'); return $up };
            my $start = $clock->();
            do { $i++ for 1 .. 20000; } while $clock->() < $start + $seconds;
            print join ' ', (times)[0, 1], $clock->() - $start;
        });
    },
    exit    => sub { exit $_[0] },
);

answer(report());
my $pending = '';
while (1) {
    while ($pending !~ /\n/) {
        my $done = sysread STDIN, $pending, 65536, length $pending;
        next if !defined $done && $! == 4;
        next if $done;
        exit 0 if $mode ne 'stay';
        sleep 3600 while 1;
    }
    $pending =~ s/^(.*)\n//;
    my ($name, @words) = map { s/%(..)/chr hex $1/ger } split /\t/, $1, -1;
    answer($acts{$name} ? $acts{$name}->(@words) : {unknown => $name});
}
