"""What the kill tests ask of journals and results.

  journals.py chunks FOLDER               the finished chunks in the journals of FOLDER: "chunk epoch rank" lines
  journals.py again RUN BEFORE VICTIM     was any chunk of the list BEFORE computed again? VICTIM: a rank, several (1,3), all or none

A chunk of BEFORE may be in another journal only if it was given twice on purpose at the end (run.log says so at
log level debug), or if it is the last one of a victim's journal: it was on disk, but rank 0 had not been told.
"""
import pathlib
import re
import struct
import sys


def finished(folder):
    """(chunk, epoch, rank) of every finished chunk, in the order of its journal (docs/formats.md)."""
    found = []
    for path in sorted(pathlib.Path(folder).glob('*.journal')):
        data, at = path.read_bytes(), 64
        while at + 80 <= len(data) and data[at:at + 4] == b'EXAR':
            kind, = struct.unpack_from('<I', data, at + 4)
            epoch, rank = struct.unpack_from('<II', data, at + 16)
            chunk, = struct.unpack_from('<Q', data, at + 32)
            stored, = struct.unpack_from('<Q', data, at + 48)
            at += 80 + stored
            if kind == 3 and at <= len(data):
                found.append((chunk, epoch, rank))
    return found


def again(run, before, victim):
    run = pathlib.Path(run)
    was = [tuple(map(int, line.split())) for line in open(before)]
    now = finished(run / 'journals')
    twice = {int(n) for n in re.findall(r'chunk (\d+) is given to rank \d+, too', (run / 'run.log').read_text())}
    told_late = set()
    for rank in victim.split(',') if victim[0].isdigit() else ():
        last = [e for e in now if e[2] == int(rank)]
        last = [e for e in last if e[1] == min(e[1] for e in last)]
        told_late |= {last[-1][0]} if last else set()
    bad, allowed = [], 0
    for entry in was:
        others = [e for e in now if e[0] == entry[0] and e != entry]
        later = [e for e in others if e[1] > entry[1]]
        if later or (others and entry[0] not in twice | told_late):
            bad.append((entry, others))
        allowed += bool(others)
    print(f'   {len(was)} chunks were in journals, {len(now)} records at the end, {allowed} of them twice on purpose')
    for entry, others in bad:
        print('computed again: chunk %d of epoch %d, rank %d' % entry, 'and', others)
    return not bad


def main(what, *names):
    if what == 'chunks':
        for entry in finished(names[0]):
            print(*entry)
        return True
    return again(*names)


if __name__ == '__main__':
    sys.exit(0 if main(*sys.argv[1:]) else 1)
