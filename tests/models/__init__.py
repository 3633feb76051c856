"""What a deployment means, in plain Python: shares no code with the generator and is compared with it packet by packet."""
