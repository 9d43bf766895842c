"""Sagas, processes of several steps: react to messages, deliver deadlines, intervene by hand."""

from .attention import NEEDS_ATTENTION as NEEDS_ATTENTION
from .interventions import INTERVENTIONS as INTERVENTIONS
from .interventions import MovedOn as MovedOn
from .interventions import NoSuchSaga as NoSuchSaga
from .interventions import Running as Running
from .interventions import allowed as allowed
from .interventions import intervene as intervene
from .interventions import names as names
from .interventions import running as running
from .interventions import statuses as statuses
from .process import NewerState as NewerState
from .process import key_of as key_of
from .process import react as react
from .process import tell_deadlines as tell_deadlines
