"""Room `portfolio`: what could be deployed, what each costs, and which is proposed."""
