#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# every run
# The lab itself: behind the write-back cache a write is on the disk only once it was flushed. Without this a power cut proves
# nothing.
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"

write_block() # BLOCK LETTER [dd-option]
{
	on 1 "head -c 4096 /dev/zero | tr '\\0' $2 | dd of=/dev/vg0/my-domu-disk bs=4096 seek=$1 oflag=direct ${3-} status=none"
}

block_in_file() # BLOCK: its first letter, or nothing
{
	dd if="$file" bs=4096 skip="$1" count=1 status=none | head -c 1 | tr -d '\0'
}

file=$(lab disk-image 1 my-domu-disk)
on 1 'blkdiscard -z -f /dev/vg0/my-domu-disk && sync /dev/vg0/my-domu-disk' # what an earlier scenario left, through the cache
[ "$(block_in_file 200)" = '' ] || fail "what was flushed is not on the disk"
write_block 100 A conv=fsync
write_block 200 B
[ "$(on 1 'dd if=/dev/vg0/my-domu-disk bs=4096 skip=200 count=1 iflag=direct status=none | head -c 1')" = B ] ||
	fail "the host does not read what it wrote"
lab power-cut 1
[ "$(block_in_file 100)" = A ] || fail "a flushed block is lost"
[ "$(block_in_file 200)" = '' ] || fail "a block is on the disk that nobody flushed"
lab power-on 1
[ "$(on 1 'dd if=/dev/vg0/my-domu-disk bs=4096 skip=100 count=1 iflag=direct status=none | head -c 1')" = A ] ||
	fail "a flushed block is gone after the power cut"
