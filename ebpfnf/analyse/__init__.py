"""Questions to a deployment that is not live: cases, expectations, replay."""
