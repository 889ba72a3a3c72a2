"""Room `operations`: what who runs the server needs: audit, export, webhooks, the server itself."""
