"""mNFs in virtual machines: their manifests, the build of their images, the frames that steer them."""
