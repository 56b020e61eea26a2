"""A small scenario, for runs that a test can afford."""

SMALL = """\
name: small-outage
description: Two workers and a short outage.
duration: 6s
topology: {instances: 1, workers: 2}
providers:
  - {name: openai, priority: 1, latency: {median: 20ms, p99: 60ms}}
  - {name: anthropic, priority: 2, latency: {median: 20ms, p99: 60ms}}
breaker: {failure_threshold: 3, reset_timeout: 1s, max_reset_timeout: 1s}
load:
  - {arrival: constant, rate: 40/s}
faults:
  - {at: 1s, for: 2s, target: provider/openai, inject: error, status: 503}
expect:
  - failed_requests == 0
"""
