"""Breaks everything that can break under load, then asks from outside whether anything was lost or
done twice."""
