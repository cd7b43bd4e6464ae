"""
A named instance: opened by a command, it stays until it is dropped and serves calls of any entry.
"""

import json

from session import Plan, Session


class HeldInstance(object):
    """
    One instance with a session for each kind of call that was put to it.

    `spent` is the text of the case that stopped in it; such an instance takes no further call.
    """

    def __init__(self, instance, call, metered):
        self.instance = instance
        self.metered = metered
        self.spent = None
        self.sessions = {}
        try:
            self.first = self._bound(call, True)
        except BaseException:
            self.close()
            raise

    def session(self, call):
        """
        The session of a kind of call; bound, and its buffers found, when it first comes.
        """
        session = self.sessions.get(_key(call))
        if session is None:
            return self._bound(call, False)
        if session.memory_name is not None:
            # A call of another kind may have grown memory since.
            session.refresh()
        return session

    def _bound(self, call, initialize):
        session = Session(self.instance, Plan(call), initialize)
        self.sessions[_key(call)] = session
        return session

    def close(self):
        """
        Let go of everything; views of memory first.
        """
        for session in self.sessions.values():
            session.release()
        self.sessions = {}
        instance, self.instance = self.instance, None
        if instance is not None:
            instance.close()


def _key(call):
    return json.dumps(call, sort_keys=True)
