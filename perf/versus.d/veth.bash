# Rows of perf/versus on a veth pair. Sourced.

remove_veth() { :; }
on_veth() { :; }
