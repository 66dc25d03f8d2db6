"""The built-in behaviours: versioned YAML, read by `lakatos.tools.behaviour.load_behaviour`."""
