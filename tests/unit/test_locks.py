import multiprocessing
import time

from seatrial.locks import FairLock


def _sharers(directory, stop):
    lock = FairLock(directory)
    while not stop.is_set():
        with lock.shared():
            time.sleep(0.02)


def test_exclusive_is_not_starved_by_sharers_that_keep_coming(tmp_path):
    stop = multiprocessing.Event()
    crowd = [multiprocessing.Process(target=_sharers, args=(tmp_path, stop)) for _ in range(6)]
    for process in crowd:
        process.start()
    try:
        time.sleep(0.3)
        began = time.monotonic()
        for _ in range(5):
            with FairLock(tmp_path).exclusive():
                pass
        assert time.monotonic() - began < 5
    finally:
        stop.set()
        for process in crowd:
            process.join(10)
            assert process.exitcode == 0


def _enter(directory, kind, log):
    with getattr(FairLock(directory), kind)():
        log.append(f"{kind} in")
        time.sleep(0.2)
        log.append(f"{kind} out")


def test_exclusive_is_alone_and_sharers_are_together(tmp_path):
    with multiprocessing.Manager() as manager:
        log = manager.list()
        kinds = ["shared", "shared", "exclusive", "exclusive"]
        crowd = [multiprocessing.Process(target=_enter, args=(tmp_path, kind, log)) for kind in kinds]
        for process in crowd:
            process.start()
        for process in crowd:
            process.join(20)
        entries = list(log)
    inside, together = [], 0
    for entry in entries:
        kind, where = entry.split()
        if where == "in":
            inside.append(kind)
            assert inside.count("exclusive") == 0 or inside == ["exclusive"], entries
            together = max(together, inside.count("shared"))
        else:
            inside.remove(kind)
    assert len(entries) == 8
