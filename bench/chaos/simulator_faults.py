"""The faults that the simulated model and the simulated Twilio make in a chaos run.

Keys that begin with `p_` are probabilities.
"""

MODEL_FAULTS = {
    "latency_ms": 400,
    "jitter_ms": 350,
    "p_429": 0.002,
    "p_500": 0.004,
    "p_drop": 0.002,
    "p_garbage": 0.002,
}
MODEL_WITHOUT_FAULTS = {"latency_ms": 50}

TWILIO_FAULTS: dict[str, dict[str, float]] = {
    "create": {
        "p_429": 0.02,
        "p_500": 0.01,
        "p_500_after": 0.02,
        "p_drop": 0.02,
        "p_refuse": 0.02,
        "p_hang": 0.005,
        "hang_s": 5,
    },
    # A callback tells the result of a POST that got no answer. Half of them are dropped, because otherwise Recado
    # would rarely have to look the message up in Twilio's list.
    "callbacks": {"p_duplicate": 0.10, "p_drop": 0.50, "p_reorder": 0.10},
    "list": {"p_500": 0.10},
}
