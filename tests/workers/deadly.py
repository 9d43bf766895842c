"""The platform's Celery application, but that one product ends the process that folds it into the
catalogue."""

import os

from celery.signals import worker_init

from config.celery import app

__all__ = ["app"]


@worker_init.connect
def make_deadly(**_):
    from orders.catalogue.projections import CATALOGUE
    from orders.events import ProductListed

    fold = CATALOGUE.evolve[ProductListed]

    def deadly(row, event):
        if event.name == "DEADLY":
            os._exit(1)
        return fold(row, event)

    CATALOGUE.evolve[ProductListed] = deadly
