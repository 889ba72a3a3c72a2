"""Room `gate`: policies, and the verdict on a version for an alias or stage."""
