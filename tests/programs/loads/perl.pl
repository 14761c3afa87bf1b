# SPDX-License-Identifier: BSL-1.0
# Allocates as Perl programs do; one line for each section, which depends on what the section computed.
use strict;
use warnings;
use Config;
use Data::Dumper;
use Digest::SHA qw(sha256_hex);
use Storable qw(dclone freeze thaw);
$Data::Dumper::Sortkeys = 1;

my $state = 12345;
sub chance { # below the argument; not Perl's rand, whose sequence belongs to the C library
  $state = ($state * 1103515245 + 12345) & 0x7fffffff;
  return int(($state >> 8) % $_[0]);
}
sub section { my ($name, $text) = @_; printf "%s %d %s\n", $name, length $text, sha256_hex($text); }

$| = 1;
my @words = map { substr sha256_hex($_), 0, 3 + $_ % 29 } 1 .. 20000;

my %table;
for my $step (1 .. 700_000) {
  my $key = $words[chance(20000)] . chance(6);
  if ($step % 3 == 0) { delete $table{$key} } else { $table{$key} .= $step % 100 }
}
section('hashes', join ',', map { "$_=$table{$_}" } sort keys %table);

my $text = '';
$text .= $words[$_ % 20000] . ($_ % 11 ? ' ' : "\n") for 1 .. 300_000;
my %seen;
$seen{$1}++ while $text =~ /\b([a-f]{2,4})\d/g;
(my $swapped = $text) =~ s/(\w)(\w+)/$2$1/g;
section('expressions', join(',', map { "$_$seen{$_}" } sort keys %seen) . $swapped);
section('sorting', join ' ', sort { length $a <=> length $b or reverse($a) cmp reverse($b) } split ' ', $swapped);

sub tree {
  my $depth = shift;
  return $words[chance(20000)] if $depth == 0;
  return { map { $words[chance(20000)] => chance(5) ? tree($depth - 1) : [map { tree(0) } 1 .. 3] } 1 .. 8 };
}
my $tree = tree(5);
my $dump = Dumper(thaw freeze dclone $tree);
section('structures', $dump);
my $read = do { no strict 'vars'; my $VAR1; eval $dump };
section('evaluated', Dumper($read));
undef $_ for $tree, $read;

my @counters = map { my $count = $_; sub { $count += shift; return "$count " x ($count % 9) } } 1 .. 50_000;
my $sum = '';
for my $round (1 .. 4) { $sum .= $_->($round) for @counters }
section('closures', $sum);

my @buffers = ('') x 50;
for my $step (1 .. 200_000) {
  my $at = chance(50);
  $buffers[$at] .= chr(65 + $step % 26) x chance(200);
  substr($buffers[$at], chance(100)) = '' if length $buffers[$at] > 100_000;
}
section('growing', join "\n", @buffers);
section('packing', join ',', map { unpack '%32C*', pack 'N n w/a*', $_ * 977, $_ % 65536, $words[$_ % 20000] } 1 .. 100_000);

my $answers = '';
for my $child (1 .. 6) {
  my $pid = open(my $pipe, '-|') // die "fork: $!";
  if ($pid == 0) {
    my %mine = map { $words[chance(20000)] => $child x $_ } 1 .. 400;
    print sha256_hex(join ',', map { "$_$mine{$_}" } sort keys %mine);
    exit 0;
  }
  chance(100) for 1 .. $child;
  $answers .= <$pipe>;
  close $pipe or die "child $child ended with $?";
}
section('children', $answers);

if ($Config{useithreads}) {
  require threads;
  my @threads = map {
    my $number = $_;
    threads->create(sub {
      my %mine;
      $mine{ $words[($number * 7919 + $_ * 31) % 20000] } .= $_ for 1 .. 60_000;
      return sha256_hex(join ',', map { "$_$mine{$_}" } sort keys %mine);
    });
  } 1 .. 4;
  section('threads', join ',', map { $_->join } @threads);
}
print "end\n";
