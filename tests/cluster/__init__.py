"""Whole clusters of real hosts on this machine: systemd, sshd, volumes; in containers and in emulators."""
