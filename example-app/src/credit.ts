import { transaction } from './transaction';
import { isCheckViolation } from './pg-errors';

export class TooLittleCredit extends Error {
  constructor(userId: number) {
    super(`user ${userId} has too little credit`);
  }
}

/** Two users who pay each other at once lock each other out; then one of the two transfers is tried again. */
export async function transferCredit(from: number, to: number, cents: number): Promise<void> {
  try {
    await transaction(async (trx) => {
      await trx('users').where({ id: from }).decrement('credit_cents', cents);
      await trx('users').where({ id: to }).increment('credit_cents', cents);
    });
  } catch (error) {
    throw isCheckViolation(error) ? new TooLittleCredit(from) : error;
  }
}
