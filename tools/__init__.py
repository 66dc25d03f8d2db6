"""What can be measured: models, behaviours, interventions, and the statistics of what they show."""
