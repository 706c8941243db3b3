"""A page that a user might write."""

HALF_NORMAL = """
format = 1
name = "half-normal"
title = "Half-normal"
summary = "A positive field with a Gaussian decay."
[class]
theory = "half-normal"
order = 2
symmetry = "trivial"
fields = {x = "positive"}
[free_energy]
formula = "k*x**2/2"
latex = 'F = k x^2 / 2'
[[moment]]
name = "m1"
meaning = "mean"
observable = "x"
[[coupling]]
name = "k"
meaning = "stiffness"
formula = "2/(pi*m1**2)"
[verify]
points = [{k = 1.0}, {k = 3.0}]
"""
