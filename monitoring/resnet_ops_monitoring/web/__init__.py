"""Room `web`: what every server has around its routes: guards, a token, limits, its start and its end."""
