"""mNFs in virtual machines: their manifests, the build of their images, the frames that steer them."""

HOME = "/run/ebpfnf/vms"  # where images, configurations and logs of guests lie
