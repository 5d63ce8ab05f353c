"""For whoever writes a plugin: building it, packing and pushing it, looking into what comes out, trying it in Envoy."""
