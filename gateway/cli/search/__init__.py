"""Commands about searches: run, where they run, and what they have learnt."""
