"""The main job from end to end, on real data: train, save, revive without the classes, go on training. See `savedmodel.demo.run`."""
