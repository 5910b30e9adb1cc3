/* libyaml asks for one; its version comes by -D */
