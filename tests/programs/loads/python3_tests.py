# SPDX-License-Identifier: BSL-1.0
"""python3_tests.py MODULE FILE: runs the tests of a module of Python's own and adds a line for each, with its verdict.

The verdicts come from the result object and go to a file, since what tests write themselves, addresses among it, gets
between the lines of the usual report.
"""
import sys
import unittest

from test import support


class Verdicts(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.of = {}

    def addSuccess(self, test):
        self.of.setdefault(test.id(), "ok")

    def addSkip(self, test, reason):
        self.of[test.id()] = f"skipped: {reason}"

    def addExpectedFailure(self, test, error):
        self.of[test.id()] = "fails, as expected"

    def addUnexpectedSuccess(self, test):
        self.of[test.id()] = "ok, unexpectedly"

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.of[test.id()] = f"failed: {error[0].__name__}"

    def addError(self, test, error):
        super().addError(test, error)
        self.of[test.id()] = f"failed: {error[0].__name__}"

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            self.of[test.id()] = f"failed: {error[0].__name__} in a part"


def main():
    file_name, module = sys.argv.pop(), sys.argv.pop()  # some tests look at the arguments
    support.verbose = 0
    verdicts = Verdicts()
    unittest.defaultTestLoader.loadTestsFromName(module).run(verdicts)
    for test, trace in verdicts.failures + verdicts.errors:
        print(test, trace, sep="\n", file=sys.__stderr__)
    with open(file_name, "a") as file:
        file.writelines(f"{test} {verdict}\n" for test, verdict in sorted(verdicts.of.items()))
        file.write(f"{module}: {verdicts.testsRun} tests\n")


if __name__ == "__main__":
    main()
