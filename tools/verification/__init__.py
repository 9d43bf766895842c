"""Programs that try to make the platform lose an order: chaos, disk faults, failover drills, a
simulator."""
