/**
 * An HTTP server of one process for guests, for what is measured of kernels rather than of servers: a fork for each request, as of
 * busybox's httpd, costs a kernel of User Mode Linux 8 ms of CPU here, so that 200 a second were more than its CPU could do.
 */
const PROGRAM = String.raw`
use IO::Socket::INET; use IO::Select;
my $text = shift;
my $door = IO::Socket::INET->new(LocalPort => 80, Listen => 128, ReuseAddr => 1) or die $!;
my $all = IO::Select->new($door);
my %asked;
while (1) { for my $from ($all->can_read) {
  if ($from == $door) { my $client = $door->accept or next; $all->add($client); $asked{$client} = ""; next }
  if (sysread $from, $asked{$from}, 65536, length $asked{$from}) {
    while ($asked{$from} =~ s/^.*?\r\n\r\n//s) {
      syswrite $from, "HTTP/1.1 200 OK\r\nContent-Length: " . length($text) . "\r\n\r\n$text";
    }
    next;
  }
  $all->remove($from); delete $asked{$from}; close $from;
} }`;

/** Answers each request on port 80 with `text`. */
export const answersWith = (text: string): string[] => ['perl', '-e', PROGRAM, text];
