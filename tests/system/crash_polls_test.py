"""kill -9 of a client at every durable step of waiting for a person to grant its request."""

import unittest

from crash_story import DEATHS, GRANTED, PENDING, POLL, WAITING_STORY, CrashTest


class ClientDiesWaiting(CrashTest):
    victim, story, ca_lines = "spoke", WAITING_STORY, ["no grant"]

    def test_while_it_is_told_to_wait(self):
        self.kill_in(PENDING, DEATHS[:2])

    def test_while_it_polls(self):
        self.kill_in(POLL)

    def test_while_a_poll_is_granted(self):
        self.kill_in(GRANTED)


if __name__ == "__main__":
    unittest.main()
