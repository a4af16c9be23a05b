"""Methods with a learned loss: a discriminator of student and teacher."""
