"""ResNet families: the architectures a member can have."""
