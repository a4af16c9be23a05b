"""Methods that learn their loss: a discriminator tells student from teacher."""
