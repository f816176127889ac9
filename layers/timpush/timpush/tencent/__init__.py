"""What Tencent's service needs: one HTTP call, its replies, its codes, and the UserSig."""
