"""python -m tools.verification.doctor: inject each fault into a database of its own.

Needs DATABASE_URL, with the right to create a database. The last line of output is JSON. Exit code
1 if a fault is missed, or if there is a false alarm.
"""

import json
import os
import sys

import django


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    # Models can be imported only after the setup.
    from tools.verification.doctor import selftest

    trials = []
    for trial in selftest.run():
        trials.append(trial)
        print(selftest.sentence(trial), flush=True)
    counts = {
        "faults": len(trials) - 1,
        "found": sum(trial.was_found for trial in trials if trial.fault),
        "false_alarms": sum(len(trial.false_alarms) for trial in trials),
    }
    print(json.dumps(counts))
    return 0 if counts["found"] == counts["faults"] and not counts["false_alarms"] else 1


if __name__ == "__main__":
    sys.exit(main())
